"""An S3 server on loopback for tests: moto's."""

import urllib.request

from moto import settings
from moto.server import ThreadedMotoServer

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials as a user would set them; moto accepts any."""


class ObjectStore:
    """A server with one bucket. It keeps its objects when it is stopped and started again."""

    def __init__(self) -> None:
        """Starts on a free port, and creates the bucket."""
        self.port = 0
        self.start()
        self._request("bucket", method="PUT")

    def uri(self, prefix: str) -> str:
        """Returns the URI of a prefix in the bucket."""
        return f"s3://bucket/{prefix}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def start(self) -> None:
        """Starts the server, on the same port as before."""
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()

    def stop(self) -> None:
        """Refuses connections from now on. The objects stay in memory."""
        self._server.stop()

    def forbid(self) -> None:
        """Denies every request from now on."""
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0

    def reset(self) -> None:
        """Removes all objects, and allows every request again."""
        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        self._request("moto-api/reset", method="POST")

    def _request(self, path: str, *, method: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10):
            pass
