"""Takes the doors' defences out, one by one, and sees that an attack then gets through.

    python tests/attacks/taken_out.py [NAME ...]

Each row of `DEFENCES` is a defence, the text that is it, what stands there without it, and the test
that must then fail. It works on a copy of the checkout, interpreted, and leaves that alone. A row
whose test passes all the same shows a test that looks at nothing; one whose text is not there any
more is to be brought up to date. By hand: a minute or two.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
COPIED = ("forms", "kernel", "wal", "guard", "tests", "pyproject.toml", "configs")
SUITE = "tests/guard/server/test_attacks.py"
KEYS_OF_LOGS = "tests/wal/test_key_rotation.py"
KEYS_OF_DAEMON = "tests/guard/server/test_log_keys.py"


class Defence(NamedTuple):
    """`text` in `path` is the defence; `without` stands there when it is taken out."""

    name: str
    path: str
    text: str
    without: str
    test: str
    suite: str = SUITE


DEFENCES = (
    Defence(
        "only keys that are known",
        "guard/server/curve.py",
        "if not door.admits(client_key):",
        "if False:",
        "test_an_unknown_key",
    ),
    Defence(
        "the vouch",
        "guard/server/curve.py",
        "if not hmac.compare_digest(vouched, peer_key + door.public_key):",
        "if False:",
        "test_a_vouch_that_was_made_for_another_server",
    ),
    Defence(
        "a cookie's key of each connection's own",
        "guard/server/curve.py",
        "self._cookie_key = secrets.token_bytes(KEY_BYTES)",
        "self._cookie_key = b'k' * KEY_BYTES",
        "test_another_connection_s_cookie or test_a_handshake_sent_again_word_for_word",
    ),
    Defence(
        "nonces that rise in the handshake",
        "guard/server/curve.py",
        "if counter <= self._last_nonce:",
        "if False:",
        "test_a_nonce_of_the_handshake_used_again",
    ),
    Defence(
        "nonces that rise behind it",
        "guard/server/sealing.py",
        "if counter <= self._received:",
        "if False:",
        "test_a_message_sent_again or test_messages_in_another_order",
    ),
    Defence(
        "boxes for every frame",
        "guard/server/zmtp.py",
        "elif self.sealer is not None:\n            self._begin_sealed",
        "elif self.sealer is not None and not flags & _COMMAND and False:\n"
        "            self._begin_sealed",
        "test_plain_frames_behind_a_handshake",
    ),
    Defence(
        "the mechanism of the greeting",
        "guard/server/zmtp.py",
        'if bytes(told[MECHANISM]).rstrip(b"\\0") == self._mechanism.name:',
        "if True:",
        "test_a_peer_without_a_key",
    ),
    Defence(
        "the bound of a command",
        "guard/server/zmtp.py",
        "if flags & _MORE or size > _COMMAND_BYTES_MAX:",
        "if flags & _MORE:",
        "test_a_command_without_end_in_the_handshake",
    ),
    Defence(
        "the bound of a sealed frame",
        "guard/server/zmtp.py",
        "elif size - _OVERHEAD_BYTES > self._message_bytes_max:",
        "elif False:",
        "test_a_sealed_frame_longer_than_a_message_may_be",
    ),
    Defence(
        "the time of a handshake",
        "guard/server/listener.py",
        '"handshake_time" if now - peer.accepted_tick > policy.handshake_ticks else ""',
        '""',
        "test_slow_handshakes",
    ),
    Defence(
        "the rate of handshakes",
        "guard/server/curve.py",
        "return self._taken <= self._per_s",
        "return True",
        "test_a_flood_of_handshakes_costs_no_more_than_its_rate",
    ),
    Defence(
        "desks",
        "guard/server/permits.py",
        "if self._desk_names is None or desk not in self._desk_names:",
        "if False:",
        "test_an_order_for_another_s_desk or test_facts_of_another_s_order or "
        "test_another_s_status or test_b_under_a_s_routing_id",
    ),
    Defence(
        "other keys for operators",
        "guard/server/clients.py",
        "return (permit is not None and bool(permit.roles)) or key == self._probe_key",
        "return permit is not None or key == self._probe_key",
        "test_admin_by_a_key_that_trades",
    ),
    Defence(
        "roles",
        "guard/server/admin_door.py",
        "if needed not in permit.roles:",
        "if False:",
        "test_a_role_that_looks_does_not_act",
    ),
    Defence(
        "two persons, under whichever keys",
        "guard/admin/people_actions.py",
        "if proposal.person == actor.person:",
        "if False:",
        "test_asking_and_approving_under_two_keys_of_one_person",
    ),
    Defence(
        "the second person's role",
        "guard/server/admin_door.py",
        'needed = "approve"',
        'needed = "view"',
        "test_asking_and_approving_under_two_keys_of_one_person",
    ),
    Defence(
        "what is beyond the ceiling",
        "guard/engine/people.py",
        "return [] if rule is None or state.people.terms is None else rule(state, event)",
        "return []",
        "test_asking_and_approving_under_two_keys_of_one_person",
    ),
    Defence(
        "the end of what was lent",
        "guard/engine/people.py",
        "    state.due_at_ns = NEVER if due is None else due[0]",
        "    state.due_at_ns = NEVER if due is None else NEVER",
        "test_asking_and_approving_under_two_keys_of_one_person",
    ),
    Defence(
        "the end of a revoked key's connections",
        "guard/server/clients.py",
        'door.end(peer, "revoked")',
        "pass",
        "test_a_revoked_key_is_out_at_once",
    ),
    Defence(
        "evolving keys that follow each other without a gap",
        "wal/keyring.py",
        "if number != at + 1 and (number or at):",
        "if False:",
        "test_the_noon_thief_cannot_rewrite_the_morning",
        KEYS_OF_LOGS,
    ),
    Defence(
        "what a segment's first record says of the one before",
        "wal/segment_keys.py",
        "if size != change.sealed_bytes or not hashes_equal(digest_hex, change.sealed_sha256):",
        "if False:",
        "test_who_has_the_newest_key_alone_verifies_what_it_seals",
        KEYS_OF_LOGS,
    ),
    Defence(
        "one key for each segment",
        "wal/keyring.py",
        'return EvolvingKey(self.number + 1, hmac.digest(self.secret, _NEXT_INFO, "sha256"))',
        "return EvolvingKey(self.number + 1, self.secret)",
        "test_the_noon_thief",
        KEYS_OF_DAEMON,
    ),
    Defence(
        "the older key's bytes wiped on the disk",
        "guard/config/evolving_keys.py",
        "os.pwrite(old, bytes(os.fstat(old).st_size), 0)",
        "pass",
        "test_what_the_file_held_is_wiped",
        KEYS_OF_DAEMON,
    ),
    Defence(
        "the manifest made anew before the record",
        "guard/server/log_keys.py",
        "authenticate_anew(self._options.log_directory, self._hasher, following)",
        "pass",
        "test_a_crash_at_every_step_of_a_change",
        KEYS_OF_DAEMON,
    ),
    Defence(
        "the older key erased only behind the record",
        "guard/server/log_keys.py",
        "self._when_durable(self._settle)",
        "self._settle(writer.durable_head)",
        "test_a_crash_at_every_step_of_a_change",
        KEYS_OF_DAEMON,
    ),
)


def fails_without(defence: Defence, root: Path) -> str:
    """What became of the test: "fails", "passes", or that the defence is not there."""
    place = root / defence.path
    source = place.read_text()
    if source.count(defence.text) != 1:
        return "not there: the row is out of date"
    place.write_text(source.replace(defence.text, defence.without))
    try:
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pytest",
                    defence.suite,
                    "-q",
                    "-x",
                    "-p",
                    "no:cacheprovider",
                ),
                *("--basetemp", str(root / "temporary"), "-k", defence.test),
            ],
            cwd=root,
            env={**os.environ, "PRETRADE_GUARD_PURE": "1", "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        place.write_text(source)
    if done.returncode not in (0, 1):
        return f"no answer:\n{done.stdout}{done.stderr}"
    return "fails" if done.returncode == 1 else "passes"


def main() -> int:
    wanted = sys.argv[1:]
    is_good = True
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        skipped = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "node_modules")
        for name in COPIED:
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=skipped)
            else:
                shutil.copy(source, root / name)
        for defence in DEFENCES:
            if wanted and not any(each in defence.name for each in wanted):
                continue
            started_ns = time.monotonic_ns()
            what = fails_without(defence, root)
            is_good &= what == "fails"
            seconds = (time.monotonic_ns() - started_ns) / 1e9
            print(f"without {defence.name}: {what} ({seconds:.1f} s)", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
