"""One suite for the stores in memory and in DynamoDB and S3: it tests what the ports say.

DynamoDB is moto's, in this process, or whatever answers at SHIFTWORK_CONTRACT_ENDPOINT.
"""
