"""The refusal of a request by the store, as botocore reports it."""

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


@contextmanager
def refused(code, status):
    """The block must be refused with this error code and this HTTP status.

    The answer to a HEAD has no body, so its code is the status in digits.
    """
    with pytest.raises(ClientError) as caught:
        yield caught
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
