"""Clusters behind `tls://`: Dask's own configuration names the certificates, and has to suit the address."""

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.cluster import connect

dask = pytest.importorskip("dask")
AUTHORITIES = pytest.importorskip("certifi").where()
TLS = "distributed.comm.tls"


def told(where, settings):
    with dask.config.set(settings), pytest.raises(ConfigurationError) as refused, connect(where):
        pass
    return refused.value.message


def test_an_encrypted_address_needs_certificates():
    message = told("tls://127.0.0.1:9", {})
    assert message.startswith("tls://127.0.0.1:9 needs certificates")
    assert message.endswith("set ca-file, client.cert and client.key there")


def test_an_open_address_is_refused_where_encryption_is_required():
    message = told("tcp://127.0.0.1:9", {"distributed.comm.require-encryption": True})
    assert message.endswith("requires; name the scheduler by tls://")


@pytest.mark.parametrize("where", ["tls://127.0.0.1:9", 2])
def test_certificates_that_cannot_be_read_are_reported(tmp_path, where):
    damaged, missing = tmp_path / "no.pem", tmp_path / "none.pem"
    damaged.write_text("no certificate")
    message = told(where, {f"{TLS}.ca-file": str(missing), f"{TLS}.client.cert": str(missing)})
    assert f"cannot be used: [Errno 2] No such file or directory: '{missing}'. Correct it there" in message
    message = told(where, {f"{TLS}.ca-file": str(damaged), f"{TLS}.client.cert": str(damaged)})
    assert "cannot be used: [X509: NO_CERTIFICATE_OR_CRL_FOUND]" in message
    assert f"({damaged}). Correct it there" in message
    assert "min-version=9 is not supported" in told(where, {f"{TLS}.min-version": 9})


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_processes_of_this_machine_need_the_certificates_of_all(tmp_path, role):
    missing = tmp_path / "none.pem"
    message = told(2, {f"{TLS}.ca-file": AUTHORITIES, f"{TLS}.{role}.cert": str(missing)})
    assert f"No such file or directory: '{missing}'" in message


def test_processes_of_this_machine_are_never_open_where_encryption_is_required():
    message = told(2, {"distributed.comm.require-encryption": True})
    assert message.startswith("a cluster of this machine needs certificates")
    files = "scheduler.cert and scheduler.key, worker.cert and worker.key, client.cert and client.key"
    assert message.endswith(f"set ca-file, {files} there")
