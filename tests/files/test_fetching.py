import http.client

import pytest
import requests
import wandb.errors

from lightning_gans.files.fetching import LIBRARIES, fetching_errors


@pytest.mark.parametrize(
    "error", [requests.ConnectTimeout, http.client.IncompleteRead, OSError, wandb.errors.CommError]
)
def test_what_is_raised_without_a_network_is_caught(error):
    assert issubclass(error, fetching_errors())


@pytest.mark.parametrize("name", ["gdown.exceptions", "httpx", "huggingface_hub.errors"])
def test_and_what_is_of_no_family(name):
    assert name in LIBRARIES
    library = pytest.importorskip(name)
    names = {"httpx": ["HTTPError", "InvalidURL"], "huggingface_hub.errors": ["EntryNotFoundError"]}.get(name, [])
    assert {getattr(library, each) for each in names} <= {*fetching_errors()}


def test_what_ends_a_program_is_not_caught():
    assert not {Exception, BaseException, KeyboardInterrupt, SystemExit} & {*fetching_errors()}
