"""Build the session that makes every client of AWS: botocore's own, since boto3 imports slowly."""

from __future__ import annotations

import botocore.session
from botocore.loaders import Loader

#: The services that the platform calls. What callbacks call is theirs, with a session of their own.
SERVICES = (
    "dynamodb",
    "ec2",
    "ecs",
    "lambda",
    "logs",
    "rds",
    "s3",
    "secretsmanager",
    "sqs",
    "stepfunctions",
)


class _ModelLoader(Loader):
    """A loader that does not look through the folders of all 400 services for each first client.

    Botocore does, only to tell whether there is such a service.
    """

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services of which clients can be built."""
        return list(SERVICES)


def new_session() -> botocore.session.Session:
    """Return a session that builds clients of `SERVICES`. It is not safe for threads."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _ModelLoader())
    return session
