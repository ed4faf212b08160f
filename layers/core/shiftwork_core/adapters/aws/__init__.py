"""The ports over AWS except DynamoDB: Step Functions, SQS, Lambda, S3, Secrets Manager, Logs."""
