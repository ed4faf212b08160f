"""The ports over AWS, but for DynamoDB: Step Functions, SQS, Lambda, S3, Secrets Manager, Logs."""
