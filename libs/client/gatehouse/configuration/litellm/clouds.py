"""Models on the clouds of Microsoft and Google, which LiteLLM finds by more than a URL."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gatehouse.configuration.litellm.places import Parameters, Place

_VERSION = re.compile(r"v1|preview|latest|\d{4}-\d{2}-\d{2}(-preview)?")
_USUAL_LOCATION = "us-central1"
_ENTRA = ("tenant_id", "client_id", "client_secret", "azure_ad_token")


def azure(model: str, api_base: str, said: Parameters) -> Place | str:
    """A deployment on Azure; `model` is its name."""
    if not api_base:
        return "azure lives in many places: it needs an api_base"
    parts = urlsplit(api_base)
    version = said("api_version")
    if version and not _VERSION.fullmatch(version):
        return f"its api_version {version} is none of Azure's"
    if any(said(key) for key in _ENTRA):
        return (
            "it signs in by Entra: store its application as a key of type azure_openai, as the JSON object "
            '{"tenant_id": …, "client_id": …, "client_secret": …}, and add the provider with --option auth=entra'
        )
    return Place(
        vendor="azure",
        type="azure_openai",
        # LiteLLM takes the deployment's whole path too.
        base_url=f"{parts.scheme}://{parts.netloc}",
        model=model,
        variable="AZURE_API_KEY",
        needs_key=True,
        options={"api_version": version} if version else {},
    )


def vertex(model: str, said: Parameters) -> Place | str:
    """A model on Vertex AI, with the key of a service account."""
    if not model.startswith("gemini-"):
        return "of the models on Vertex AI Gatehouse calls Gemini's"
    project = said("vertex_project")
    if not project:
        return "it needs a vertex_project"
    location = said("vertex_location") or _USUAL_LOCATION
    host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
    return Place(
        vendor="vertex_ai",
        type="gemini",
        base_url=f"https://{host}/v1/projects/{project}/locations/{location}/publishers/google",
        model=model,
        variable="VERTEXAI_CREDENTIALS",
        needs_key=True,
        key="vertex_credentials",
        options={"auth": "service_account"},
    )
