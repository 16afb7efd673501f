"""The kubelet's side of the CRI, as far as the tests need it. Needs grpc (Debian: python3-grpcio).

    cri.py SOCKET call METHOD REQUEST    one call; the answer is printed
    cri.py SOCKET run SANDBOX CONTAINER  a pod with one container, in the foreground

REQUEST, SANDBOX (a PodSandboxConfig) and CONTAINER (a ContainerConfig) are JSON. `run` prints the ids, then what the container says,
and at the end the container's status; it exits as the container did.
"""

import json
import os
import sys
import time

import grpc

# The messages of runtime.v1, and of each the fields that are used here: number and type. "+" is a list.
MESSAGES = {
    "RunPodSandboxRequest": {"config": (1, "PodSandboxConfig"), "runtime_handler": (2, "text")},
    "RunPodSandboxResponse": {"pod_sandbox_id": (1, "text")},
    "PodSandboxConfig": {
        "metadata": (1, "PodSandboxMetadata"),
        "log_directory": (3, "text"),
        "annotations": (7, "KeyValue+"),
        "linux": (8, "LinuxPodSandboxConfig"),
    },
    "KeyValue": {"key": (1, "text"), "value": (2, "text")},
    "PodSandboxMetadata": {"name": (1, "text"), "uid": (2, "text"), "namespace": (3, "text")},
    "LinuxPodSandboxConfig": {"cgroup_parent": (1, "text"), "security_context": (2, "LinuxSandboxSecurityContext")},
    "LinuxSandboxSecurityContext": {"namespace_options": (1, "NamespaceOption")},
    "NamespaceOption": {"network": (1, "number"), "pid": (2, "number"), "ipc": (3, "number")},
    "StopPodSandboxRequest": {"pod_sandbox_id": (1, "text")},
    "RemovePodSandboxRequest": {"pod_sandbox_id": (1, "text")},
    "CreateContainerRequest": {
        "pod_sandbox_id": (1, "text"),
        "config": (2, "ContainerConfig"),
        "sandbox_config": (3, "PodSandboxConfig"),
    },
    "CreateContainerResponse": {"container_id": (1, "text")},
    "ContainerConfig": {
        "metadata": (1, "ContainerMetadata"),
        "image": (2, "ImageSpec"),
        "command": (3, "text+"),
        "envs": (6, "KeyValue+"),
        "mounts": (7, "Mount+"),
        "log_path": (11, "text"),
        "tty": (14, "number"),
        "linux": (15, "LinuxContainerConfig"),
    },
    "ContainerMetadata": {"name": (1, "text")},
    "ImageSpec": {"image": (1, "text")},
    "Mount": {"container_path": (1, "text"), "host_path": (2, "text")},
    "LinuxContainerConfig": {
        "resources": (1, "LinuxContainerResources"),
        "security_context": (2, "LinuxContainerSecurityContext"),
    },
    "LinuxContainerResources": {"memory_limit_in_bytes": (4, "number"), "memory_swap_limit_in_bytes": (10, "number")},
    "LinuxContainerSecurityContext": {
        "capabilities": (1, "Capability"),
        "namespace_options": (3, "NamespaceOption"),
        "run_as_user": (5, "Int64Value"),
        "readonly_rootfs": (7, "number"),
        "no_new_privs": (11, "number"),
        "run_as_group": (12, "Int64Value"),
    },
    "Capability": {"drop_capabilities": (2, "text+")},
    "Int64Value": {"value": (1, "number")},
    "StartContainerRequest": {"container_id": (1, "text")},
    "StopContainerRequest": {"container_id": (1, "text"), "timeout": (2, "number")},
    "RemoveContainerRequest": {"container_id": (1, "text")},
    "ExecSyncRequest": {"container_id": (1, "text"), "cmd": (2, "text+"), "timeout": (3, "number")},
    "ExecSyncResponse": {"stdout": (1, "text"), "stderr": (2, "text"), "exit_code": (3, "number")},
    "ContainerStatusRequest": {"container_id": (1, "text")},
    "ContainerStatusResponse": {"status": (1, "ContainerStatus")},
    "ContainerStatus": {"state": (3, "number"), "exit_code": (7, "number"), "reason": (10, "text"), "message": (11, "text")},
}
EXITED = 2
VARINT, LENGTH = 0, 2
# Longer than any stop in the tests.
LIMIT = 120


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def encode(message, values):
    """The wire format of a message."""
    out = b""
    for name, value in values.items():
        field, kind = MESSAGES[message][name]
        if kind == "number":
            out += varint(field << 3 | VARINT) + varint(int(value))
            continue
        for one in value if kind.endswith("+") else [value]:
            data = one.encode() if kind.startswith("text") else encode(kind.rstrip("+"), one)
            out += varint(field << 3 | LENGTH) + varint(len(data)) + data
    return out


def take_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def decode(message, data):
    """The fields of a message that are known here. Those at zero are not on the wire."""
    known = {field: (name, kind) for name, (field, kind) in MESSAGES.get(message, {}).items()}
    values = {name: 0 if kind == "number" else "" for name, kind in known.values() if kind in ("number", "text")}
    at = 0
    while at < len(data):
        key, at = take_varint(data, at)
        if key & 7 == VARINT:
            value, at = take_varint(data, at)
        elif key & 7 == LENGTH:
            length, at = take_varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"{message}: no such type of field: {key & 7}")
        name, kind = known.get(key >> 3, (None, None))
        if name:
            values[name] = value if kind == "number" else value.decode(errors="replace") if kind == "text" else decode(kind, value)
    return values


def call(channel, method, **request):
    data = encode(method + "Request", request)
    return decode(method + "Response", channel.unary_unary("/runtime.v1.RuntimeService/" + method)(data, timeout=LIMIT))


class Log:
    """A container's log: `TIME STREAM F TEXT`, P where the line goes on."""

    def __init__(self, path):
        self.path, self.file, self.rest = path, None, ""

    def show(self):
        """Prints what is new."""
        if self.file is None:
            if not os.path.exists(self.path):
                return
            self.file = open(self.path, errors="replace")
        lines = (self.rest + self.file.read()).split("\n")
        self.rest = lines.pop()
        for line in lines:
            _, stream, whole, text = line.split(" ", 3)
            out = sys.stderr if stream == "stderr" else sys.stdout
            out.write(text + ("" if whole == "P" else "\n"))
            out.flush()


def run(channel, sandbox, container):
    handler = sandbox.pop("runtime_handler", "")
    pod = call(channel, "RunPodSandbox", config=sandbox, runtime_handler=handler)["pod_sandbox_id"]
    print("pod", pod, flush=True)
    created = call(channel, "CreateContainer", pod_sandbox_id=pod, config=container, sandbox_config=sandbox)
    name = created["container_id"]
    print("container", name, flush=True)
    call(channel, "StartContainer", container_id=name)
    log = Log(os.path.join(sandbox["log_directory"], container["log_path"]))
    while True:
        status = call(channel, "ContainerStatus", container_id=name)["status"]
        # After the look: what was written before the end is in the log.
        log.show()
        if status["state"] == EXITED:
            break
        time.sleep(0.02)
    print("status", json.dumps(status), flush=True)
    call(channel, "RemoveContainer", container_id=name)
    call(channel, "StopPodSandbox", pod_sandbox_id=pod)
    call(channel, "RemovePodSandbox", pod_sandbox_id=pod)
    return status["exit_code"]


def main():
    socket, command, *words = sys.argv[1:]
    try:
        with grpc.insecure_channel("unix://" + socket) as channel:
            if command == "run":
                sys.exit(run(channel, *map(json.loads, words)))
            method, request = words
            print(json.dumps(call(channel, method, **json.loads(request))))
    except grpc.RpcError as error:
        # Where the tests look for an answer.
        print("failed", error.code().name, error.details())
        sys.exit(1)


main()
