"""Clusters behind `tls://`: Dask's own configuration names the certificates, and has to suit the address."""

import dask
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.cluster import connect

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


def test_certificates_that_cannot_be_read_are_reported(tmp_path):
    (tmp_path / "no.pem").write_text("no certificate")
    missing = {f"{TLS}.ca-file": str(tmp_path / "none.pem"), f"{TLS}.client.cert": str(tmp_path / "none.pem")}
    assert "cannot be used: [Errno 2] No such file or directory" in told("tls://127.0.0.1:9", missing)
    damaged = {f"{TLS}.ca-file": str(tmp_path / "no.pem"), f"{TLS}.client.cert": str(tmp_path / "no.pem")}
    assert "cannot be used: [X509: NO_CERTIFICATE_OR_CRL_FOUND]" in told("tls://127.0.0.1:9", damaged)
    assert "min-version=9 is not supported" in told("tls://127.0.0.1:9", {f"{TLS}.min-version": 9})
