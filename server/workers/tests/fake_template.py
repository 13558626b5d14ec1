"""A template with no library behind it, for the tests of this crate. What it and its children do is said by the environment.

FAKE_MODE: how the template behaves: "" (well), "never-ready", "no-answer", "later-version", "garbage", "half-a-message", "endless-line", "liar",
"unasked", "fails-to-fork", "crash-before-ready", "close-control", "mute" (never tells of exits).
FAKE_CHILD: what a child does: "sleep", "exit:N", "print", "ignore-term", "environment".
"""

import array
import json
import os
import select
import signal
import socket
import sys
import time

MODE = os.environ.get("FAKE_MODE", "")
CHILD = os.environ.get("FAKE_CHILD", "sleep")
PR_SET_PDEATHSIG = 1


def child(launch):
    if CHILD.startswith("exit:"):
        os._exit(int(CHILD[5:]))
    if CHILD == "print":
        os.write(1, b"out %d\n" % launch)
        os.write(2, b"err %d\n" % launch)
        os._exit(0)
    if CHILD == "environment":
        os.write(1, ("%s\n" % os.environ["THORNBACK_LAUNCH"]).encode())
        os._exit(0)
    if CHILD == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(1, b"deaf\n")
    while True:
        time.sleep(3600)


def main():
    if MODE == "crash-before-ready":
        sys.exit("ModuleNotFoundError: No module named 'torch'")
    control = socket.socket(fileno=int(os.environ["THORNBACK_CONTROL_FD"]))
    children = {}
    wake_out, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def say(**words):
        control.sendall(json.dumps(words).encode() + b"\n")

    if MODE == "never-ready":
        time.sleep(3600)
    if MODE == "close-control":
        control.close()
        time.sleep(3600)
    if MODE == "later-version":
        say(news=[1, 2])
    if MODE == "garbage":
        control.sendall(b"hello?\xff\xfe\x00\n")
    if MODE == "half-a-message":
        control.sendall(b'{"forked":1}\n')
    if MODE == "endless-line":
        control.sendall(b"x" * 200_000)
    say(ready=True)
    if MODE == "unasked":
        pid = os.fork()
        if pid == 0:
            time.sleep(3600)
        print(f"unasked {pid}", flush=True)
        say(forked=999, pid=pid)
        say(exited=998, pid=1, code=0, signal=None)

    heard, passed = b"", []
    while True:
        ready, _, _ = select.select([control, wake_out], [], [])
        if wake_out in ready:
            os.read(wake_out, 4096)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if pid == 0:
                    break
                launch = children.pop(pid, None)
                if launch is not None and MODE != "mute":
                    code, by = (None, -os.waitstatus_to_exitcode(status)) if os.WIFSIGNALED(status) else (
                        os.waitstatus_to_exitcode(status), None)
                    say(exited=launch, pid=pid, code=code, signal=by)
        if control not in ready:
            continue
        data, beside, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(8 * 64))
        if not data:
            os._exit(0)
        for _, _, raw in beside:
            passed.extend(array.array("i", raw[: len(raw) // 4 * 4]))
        heard += data
        while b"\n" in heard:
            line, heard = heard.split(b"\n", 1)
            launch = json.loads(line)["fork"]
            out, err = passed.pop(0), passed.pop(0)
            if MODE == "no-answer":
                continue
            if MODE == "fails-to-fork":
                say(exited=launch, pid=0, code=None, signal=None)
                continue
            if MODE == "liar":
                # Its own parent, whom nobody may end at its word.
                say(forked=launch, pid=os.getppid())
                continue
            pid = os.fork()
            if pid == 0:
                os.setpgid(0, 0)
                import ctypes

                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.dup2(out, 1)
                os.dup2(err, 2)
                os.environ["THORNBACK_LAUNCH"] = str(launch)
                child(launch)
            os.close(out)
            os.close(err)
            children[pid] = launch
            say(forked=launch, pid=pid)


main()
