"""The composition root: the only file that names concrete classes."""

from __future__ import annotations

import asyncio
import uuid

from gatehouse.keyvault.v1.key_access_service_pb2_grpc import add_KeyAccessServiceServicer_to_server
from gatehouse.keyvault.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server

from libs.core.clock import SystemClock
from libs.core.secret import Secret
from libs.rpc.batcher import Batcher
from libs.rpc.service import Service
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.key_vault.api.bearers import VerifiedBearers
from services.key_vault.api.key_access_service import KeyAccessServicer
from services.key_vault.api.key_service import KeyServicer
from services.key_vault.domain.access_keys import KeyAccessor
from services.key_vault.domain.create_key import KeyCreator
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.open_keys import KeyOpener, KeyUse, Opened
from services.key_vault.domain.rotate_key import KeyRotator
from services.key_vault.settings import Settings
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from services.key_vault.vault.client import MOST_TOGETHER, READER_THREADS, VaultClient
from services.key_vault.vault.connection import AppRoleFiles, VaultAddress

NAME = "key-vault"
DOMAIN = "keyvault.gatehouse"
_LEAST_FINGERPRINT_KEY = 32


async def compose(settings: Settings, service: Service) -> None:
    """Add everything this service is to `service`.

    Raises Unavailable while the database is down, OSError or ValueError for a file that is not what it should be.
    """
    clock = SystemClock()
    digests = Digests(_fingerprint_key(settings))
    await asyncio.to_thread(upgrade, settings.database_url, MIGRATIONS)
    database = Database.open(settings.database_url, name="key_vault")
    service.on_close("database", database.close, ready=database.ping)
    store = SqlKeyStore(database)
    vault = open_vault(settings)
    service.on_close("vault", vault.close, ready=vault.ping)

    # Whoever arrives while a round is under way rides the next one.
    rounds: Batcher[KeyUse, Opened] = Batcher(
        KeyOpener(store=store, vault=vault), max_batch=MOST_TOGETHER, max_in_flight=READER_THREADS
    )
    service.on_close("rounds", rounds.close)

    service.add(
        add_KeyServiceServicer_to_server,
        KeyServicer(
            store=store,
            create=KeyCreator(store=store, sealer=vault, digests=digests, clock=clock, new_uid=_new_uid),
            rotate=KeyRotator(store=store, sealer=vault, digests=digests, clock=clock),
            digests=digests,
        ),
    )
    access = KeyAccessor(bearers=VerifiedBearers(service.verifier), submit=rounds.submit)
    service.add(add_KeyAccessServiceServicer_to_server, KeyAccessServicer(access, domain=DOMAIN))


def open_vault(settings: Settings) -> VaultClient:
    """A client of the configured Vault; it connects at its first call."""
    return VaultClient(
        VaultAddress(
            url=settings.vault_addr,
            ca_file=settings.vault_ca_file,
            namespace=settings.vault_namespace,
            transit_mount=settings.vault_transit_mount,
            transit_key=settings.vault_transit_key,
            approle_mount=settings.vault_approle_mount,
            connect_timeout_s=settings.vault_connect_timeout_s,
            read_timeout_s=settings.vault_read_timeout_s,
        ),
        writer=AppRoleFiles(role_id=settings.vault_writer_role_id_file, secret_id=settings.vault_writer_secret_id_file),
        reader=AppRoleFiles(role_id=settings.vault_reader_role_id_file, secret_id=settings.vault_reader_secret_id_file),
        timeout_s=settings.vault_timeout_s,
        clock=SystemClock(),
    )


def _fingerprint_key(settings: Settings) -> Secret:
    key = settings.fingerprint_key_file.read_bytes().strip()
    if len(key) < _LEAST_FINGERPRINT_KEY:
        raise ValueError(f"{settings.fingerprint_key_file} must hold at least {_LEAST_FINGERPRINT_KEY} characters")
    return Secret(key)


def _new_uid() -> str:
    return str(uuid.uuid4())
