"""Read a secret from Secrets Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shiftwork_core.adapters.aws.calls import translated_errors

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class Secret:
    """A function that reads one secret's current text."""

    def __init__(self, client: SecretsManagerClient, secret_id: str) -> None:
        self._client = client
        self._secret_id = secret_id

    def __call__(self) -> str:
        """Read it.

        Raises
        ------
        Transient
            If Secrets Manager throttles or cannot be reached.
        """
        with translated_errors():
            return self._client.get_secret_value(SecretId=self._secret_id)["SecretString"]
