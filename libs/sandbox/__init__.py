"""A local provider for trying, testing and measuring: deterministic answers, faults on demand, its own bill.

    async with Sandbox() as sandbox:
        ...  # call f"{sandbox.url}/v1/chat/completions" with any key that begins with sk-sandbox-
        await sandbox.bill.wait_finished(1)
        print(sandbox.bill.records())

From the command line: `python -m libs.sandbox --help`.
"""

from libs.sandbox.bill import Bill, BillRecord, key_fingerprint
from libs.sandbox.rules import Rule
from libs.sandbox.seen_request import SeenRequest
from libs.sandbox.server import Sandbox

__all__ = ["Bill", "BillRecord", "Rule", "Sandbox", "SeenRequest", "key_fingerprint"]
