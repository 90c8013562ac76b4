"""The composition root: the only file that names concrete classes."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from gatehouse.keyvault.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import add_KeyAccessServiceServicer_to_server
from gatehouse.keyvault.v1.key_maintenance_service_pb2_grpc import add_KeyMaintenanceServiceServicer_to_server
from gatehouse.keyvault.v1.key_service_pb2_grpc import add_KeyServiceServicer_to_server

from libs.core.audit_authors import Occasion
from libs.core.audit_log import append_all
from libs.core.audit_seal import HeadSeal
from libs.core.clock import SystemClock
from libs.rpc.batcher import Batcher
from libs.rpc.databases import open_database, wrong_seal
from libs.rpc.denial_recorder import DenialRecorder
from libs.rpc.recurring import Recurring
from libs.rpc.service import Service
from libs.rpc.settings import WrongSetting, read_key_file
from libs.storage.database import Database
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.key_vault.anchors.anchor_file import AnchorFile
from services.key_vault.anchors.anchor_url import AnchorUrl
from services.key_vault.anchors.no_anchors import NoAnchors
from services.key_vault.api.audit_service import AuditServicer
from services.key_vault.api.bearers import VerifiedBearers
from services.key_vault.api.denied_keys import key_denial
from services.key_vault.api.key_access_service import KeyAccessServicer
from services.key_vault.api.key_maintenance_service import KeyMaintenanceServicer
from services.key_vault.api.key_service import KeyServicer
from services.key_vault.domain.access_keys import KeyAccessor
from services.key_vault.domain.anchor_audit import AnchorStore, AuditAnchorer, AuditVerifier
from services.key_vault.domain.create_key import KeyCreator
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.expire_versions import VersionExpirer
from services.key_vault.domain.import_environment import EnvironmentImporter, EnvironmentKey, ImportOutcome
from services.key_vault.domain.key_outcome import KeyNotification
from services.key_vault.domain.key_use import KeyUseCounter, OpenedVersion
from services.key_vault.domain.open_keys import KeyOpener, KeyUse, Opened
from services.key_vault.domain.ports import WrappedVersion
from services.key_vault.domain.record_outcomes import OutcomeRecorder
from services.key_vault.domain.rewrap_keys import KeyRewrapper
from services.key_vault.domain.rotate_key import KeyRotator
from services.key_vault.domain.store_key_use import store_key_use
from services.key_vault.domain.take_material import MaterialTaker
from services.key_vault.environment.platform_keys import platform_keys
from services.key_vault.settings import Settings, environment
from services.key_vault.storage.store import APPEND_ONLY, MIGRATIONS, SqlKeyStore
from services.key_vault.vault.allowed_secrets import AllowedSecretsFile
from services.key_vault.vault.client import MOST_TOGETHER, READER_THREADS, VaultClient
from services.key_vault.vault.connection import AppRoleFiles, Credentials, KubernetesRole, VaultAddress

NAME = "key-vault"
DOMAIN = "keyvault.gatehouse"

_log = get_logger(__name__)
_AS_WANTED = frozenset({ImportOutcome.CREATED, ImportOutcome.ROTATED, ImportOutcome.UNCHANGED})
_FLUSH_S = 1.0
_EXPIRE_S = 60.0
_REWRAP_CHECK_S = 1.0
_RETRY_S = 1.0
_ANCHOR_RETRY_S = 60.0
_REWRAP_PAUSE_S = 0.02


async def compose(settings: Settings, service: Service) -> None:
    """Add everything this service is to `service`.

    Raises Unavailable while the database is down, OSError, WrongSetting and FailedPrecondition for what has to be
    mended before.
    """
    clock = SystemClock()
    digests = Digests(read_key_file(settings, "fingerprint_key_file"))
    seal = HeadSeal(digests.derived_key("audit heads"))
    store = await _open_store(settings, service, seal)
    # With readers of its own: however much is listed, calls do not wait for it.
    openings = Database.open(settings.database_url, name="key_vault_openings", read_threads=READER_THREADS)
    service.on_close("database for openings", openings.close)
    vault = open_vault(settings)
    service.on_close("vault", vault.close, ready=vault.ping)
    allowed = _allowed_secrets(settings)
    uses = KeyUseCounter(clock)
    denials = DenialRecorder(lambda events: store.write(partial(append_all, events)), clock, new_uid=_new_uid)
    service.denied = denials.record

    def used(opened: Sequence[tuple[OpenedVersion, str]]) -> None:
        uses.opened(opened)
        _log_opened(opened)

    # Whoever arrives while a round is under way rides the next one.
    rounds: Batcher[KeyUse, Opened] = Batcher(
        KeyOpener(
            store=SqlKeyStore(openings, seal), vault=vault, secrets=vault, allowed=allowed, clock=clock, used=used
        ),
        max_batch=MOST_TOGETHER,
        max_in_flight=READER_THREADS,
    )
    service.on_close("rounds", rounds.close)

    materials = MaterialTaker(sealer=vault, opener=vault, secrets=vault, allowed=allowed, digests=digests)
    create = KeyCreator(store=store, materials=materials, clock=clock, new_uid=_new_uid)
    rotate = KeyRotator(store=store, materials=materials, clock=clock, new_uid=_new_uid)
    rewrapper = KeyRewrapper(store=store, vault=vault, clock=clock, new_uid=_new_uid, refused=_refused)
    anchors = _anchor_store(settings)

    def occasion() -> Occasion:
        return Occasion(now=clock.now(), uid=_new_uid())

    service.add(
        add_KeyServiceServicer_to_server,
        KeyServicer(store=store, create=create, rotate=rotate, digests=digests, clock=clock, occasion=occasion),
    )
    service.add(
        add_KeyAccessServiceServicer_to_server,
        KeyAccessServicer(
            store,
            KeyAccessor(bearers=VerifiedBearers(service.verifier), submit=rounds.submit, denied=key_denial(denials)),
            OutcomeRecorder(store=store, clock=clock, new_uid=_new_uid, notified=_notified),
            domain=DOMAIN,
        ),
    )
    service.add(add_KeyMaintenanceServiceServicer_to_server, KeyMaintenanceServicer(rewrapper))
    service.add(
        add_AuditServiceServicer_to_server,
        AuditServicer(store, AuditVerifier(store=store, signer=vault, anchors=anchors), occasion),
    )

    expire = VersionExpirer(
        store=store, clock=clock, new_uid=_new_uid, kept=timedelta(days=settings.retired_versions_kept_days)
    )
    recurring = [
        Recurring("store key use", lambda: store_key_use(uses, store), interval_s=_FLUSH_S, last=True),
        Recurring("store denials", denials.store, interval_s=_FLUSH_S, last=True),
        Recurring("expire versions", expire, interval_s=_EXPIRE_S),
        Recurring("re-wrap keys", lambda: _rewrap(rewrapper), interval_s=_REWRAP_CHECK_S),
    ]
    if settings.audit_anchor_file is not None or settings.audit_anchor_url is not None:
        anchorer = AuditAnchorer(store=store, signer=vault, signer_name=vault.anchor_key, anchors=anchors, clock=clock)
        recurring.append(
            Recurring(
                "anchor audit",
                anchorer,
                interval_s=settings.audit_anchor_interval_s,
                retry_s=_ANCHOR_RETRY_S,
                last=True,
            )
        )
    if settings.import_environment:
        importer = EnvironmentImporter(store=store, create=create, rotate=rotate, digests=digests)
        recurring.append(_importing(importer, platform_keys(environment())))
    # Added last and so closed first: what calls leave behind is stored while the database is still open.
    for each in recurring:
        service.on_close("recurring work", each.close)


async def _open_store(settings: Settings, service: Service, seal: HeadSeal) -> SqlKeyStore:
    database = await open_database(settings, service, name="key_vault", migrations=MIGRATIONS, append_only=APPEND_ONLY)
    store = SqlKeyStore(database, seal)
    if not await store.carries_our_seal():
        # It would compare fingerprints in vain, too.
        raise wrong_seal(settings, "fingerprint_key_file")
    return store


def open_vault(settings: Settings) -> VaultClient:
    """A client of the configured Vault; it connects at its first call."""
    return VaultClient(
        VaultAddress(
            url=settings.vault_addr,
            ca_file=settings.vault_ca_file,
            namespace=settings.vault_namespace,
            transit_mount=settings.vault_transit_mount,
            transit_key=settings.vault_transit_key,
            anchor_key=settings.vault_anchor_key,
            connect_timeout_s=settings.vault_connect_timeout_s,
            read_timeout_s=settings.vault_read_timeout_s,
        ),
        writer=_credentials(
            settings,
            settings.vault_writer_role_id_file,
            settings.vault_writer_secret_id_file,
            settings.vault_writer_kubernetes_role,
        ),
        reader=_credentials(
            settings,
            settings.vault_reader_role_id_file,
            settings.vault_reader_secret_id_file,
            settings.vault_reader_kubernetes_role,
        ),
        timeout_s=settings.vault_timeout_s,
        secret_timeout_s=settings.vault_secret_timeout_s,
        clock=SystemClock(),
    )


def _credentials(
    settings: Settings, role_id: Path | None, secret_id: Path | None, kubernetes_role: str | None
) -> Credentials:
    if settings.vault_auth_method == "kubernetes" and kubernetes_role is not None:
        return KubernetesRole(
            role=kubernetes_role,
            token_file=settings.vault_kubernetes_token_file,
            mount=settings.vault_kubernetes_mount,
        )
    if role_id is None or secret_id is None:
        raise ValueError("the settings of Vault's login are incomplete")
    return AppRoleFiles(role_id=role_id, secret_id=secret_id, mount=settings.vault_approle_mount)


def _allowed_secrets(settings: Settings) -> AllowedSecretsFile:
    try:
        return AllowedSecretsFile(settings.vault_secrets_file)
    except ValueError as error:
        raise WrongSetting(f"KEY_VAULT_VAULT_SECRETS_FILE: {error}") from None


def _anchor_store(settings: Settings) -> AnchorStore:
    if settings.audit_anchor_file is not None:
        return AnchorFile(settings.audit_anchor_file)
    if settings.audit_anchor_url is not None:
        return AnchorUrl(settings.audit_anchor_url)
    return NoAnchors()


def _importing(importer: EnvironmentImporter, found: list[EnvironmentKey]) -> Recurring:
    # Once is enough: the environment of a process does not change. It is tried until Vault and the database take it.
    async def once() -> None:
        for key, outcome in await importer(found):
            level = _log.info if outcome in _AS_WANTED else _log.warning
            level(names.EVENT_KEYS_IMPORTED, variable=key.variable, resource=str(key.name), outcome=outcome.value)
        # No key stays in this process in clear.
        found.clear()

    return Recurring("import environment", once, interval_s=float("inf"), retry_s=_RETRY_S)


async def _rewrap(rewrapper: KeyRewrapper) -> None:
    while await rewrapper.go_on():  # noqa: ASYNC110 - there is no event for what is left in a database
        # Calls come first: between two batches they get the writer's thread and the database.
        await asyncio.sleep(_REWRAP_PAUSE_S)


def _log_opened(opened: Sequence[tuple[OpenedVersion, str]]) -> None:
    """The joint between the counts of key use and Vault's own audit log."""
    by_request: defaultdict[str, set[str]] = defaultdict(set)
    for version, vault_request_id in opened:
        by_request[vault_request_id].add(f"{version.key_uid}/{version.version}")
    for vault_request_id, versions in by_request.items():
        _log.info(names.EVENT_KEYS_OPENED, vault_request_id=vault_request_id, versions=sorted(versions))


def _notified(notification: KeyNotification) -> None:
    _log.warning(
        names.EVENT_KEY_NOTIFICATION,
        resource=str(notification.key),
        version=notification.version,
        notification=notification.type.value,
    )


def _refused(wrapped: WrappedVersion) -> None:
    _log.warning(names.EVENT_REWRAP_REFUSED, owner=str(wrapped.owner), key_uid=wrapped.key_uid, version=wrapped.version)


def _new_uid() -> str:
    return str(uuid.uuid4())
