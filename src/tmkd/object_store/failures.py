"""Failures of object storage in one line: what happened and a remedy, never a key, a signature or a query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tmkd.errors import TmkdError

# Error codes of S3, GCS and Azure → what to tell. An answer's own text is never repeated: it may hold keys.
_EXPIRED = "the credentials have expired; renew them, and the same command goes on from here"
_REFUSED = "the credentials are not accepted; check the environment, such as AWS_ACCESS_KEY_ID"
_DENIED = "these credentials may not {what} there; ask for read and write access to the bucket"
_SKEWED = "this machine's clock differs from the server's by minutes; set it (NTP), and the same command goes on"
_ABSENT = "there is no such bucket; make it, or correct --runs"
_BUSY = "the server did not answer in time or is overloaded ({status}); the same command goes on from here later"
_WORDS = {
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"), _EXPIRED),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed"), _REFUSED),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AuthorizationPermissionMismatch"), _DENIED),
    **dict.fromkeys(("NoSuchBucket", "ContainerNotFound"), _ABSENT),
    "RequestTimeTooSkewed": _SKEWED,
    **dict.fromkeys(("SlowDown", "ServiceUnavailable", "InternalError", "ServerBusy"), _BUSY),
}
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})|\((\d{3}) [A-Z]")
_CREDENTIALS = re.compile(r"169\.254\.169\.254|latest/api/token|metadata\.google\.internal|computeMetadata")
_NONE = (
    "there are no credentials; set those of the cloud in the environment, such as AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or run where the machine has a role"
)


class Changed(TmkdError):
    """Failure of a conditional write: the object is there already, or another writer has replaced it."""


class Damaged(TmkdError):
    """Failure of a fetch: the object's bytes are not those that were sent."""


def error_code(error: BaseException) -> str:
    """Code in a server's answer, such as NoSuchBucket; empty where there is none."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def bucket_absent(error: BaseException) -> bool:
    """Whether an object is not found because its whole bucket is not there."""
    return error_code(error) in ("NoSuchBucket", "ContainerNotFound")


@contextmanager
def told(uri: str, what: str) -> Iterator[None]:
    """Calls of obstore, in a `with` block; `what` is the verb of the message, such as `read`.

    A missing object's FileNotFoundError and the errors of conditional writes pass.
    Raises: TmkdError for a failure of server, network or credentials, in one line without the answer's own text.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if bucket_absent(error):
            raise TmkdError(f"{uri}: {_ABSENT}") from None
        raise
    except BaseError as error:
        raise TmkdError(f"{uri}: {words(error, what)}") from None  # the cause's text may hold what must not be shown


def words(error: BaseException, what: str) -> str:
    """Words for one of obstore's errors."""
    text, code, kind = str(error), error_code(error), type(error).__name__
    found = _STATUS.search(text)
    status = next((one for one in found.groups() if one), "") if found else ""
    if code in _WORDS:
        return _WORDS[code].format(what=what, status=f"{status} {code}".strip())
    if _CREDENTIALS.search(text):
        return _NONE
    if kind == "PermissionDeniedError" or status == "403":
        return _DENIED.format(what=what)
    if kind == "UnauthenticatedError" or status == "401":
        return _REFUSED
    if status.startswith("5") or status == "429":
        return _BUSY.format(status=status)
    if status:
        return f"the server answered {' '.join((status, code)).strip()} (to {what})"
    return f"the server cannot be reached (to {what}); check the network and the endpoint's address"
