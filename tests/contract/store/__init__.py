"""One suite for the stores in memory and in DynamoDB and S3: the ports' sentences, tried.

DynamoDB is moto's, in this process, or whatever answers at SHIFTWORK_CONTRACT_ENDPOINT.
"""
