"""The stores in DynamoDB.

requests table      a request (part `request`), its steps (part `step#0001`), an idempotency key
                    (part `key`, under a request id of its own)
jobs table          attempts, under their request's id and their key
definitions table   versions, under kind and name
workspaces table    workspaces, under their id
lifecycle tables    their jobs, under the job's id; the jobs' logs, under the job's id and the time

`conditions` names every condition, `items` turns records into items and back, `expressions` builds
the calls and `database` sends them.
"""
