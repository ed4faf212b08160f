"""The ports over AWS (DynamoDB, S3, SQS, Step Functions, Lambda), over HTTP, and in memory."""
