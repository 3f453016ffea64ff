"""Logs in with SCRAM-SHA-256 at 127.0.0.1, and prints `in`, or the daemon's error."""
import base64, hashlib, hmac, os, socket, struct, sys

port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
daemon = socket.create_connection(("127.0.0.1", port), 10)


def call(procedure, payload=b""):
    daemon.sendall(struct.pack(">7I", 28 + len(payload), 0x20008086, 1, procedure, 0, 1, 0) + payload)
    length = struct.unpack(">I", daemon.recv(4, socket.MSG_WAITALL))[0]
    reply = daemon.recv(length - 4, socket.MSG_WAITALL)
    if struct.unpack(">I", reply[20:24])[0]:
        sys.exit(f"refused: {reply[24:]}")
    return reply[24:]


# Every character takes four bytes, and so does the flag that a string is present.
def chars(text):
    return struct.pack(f">{len(text) + 2}I", 0, len(text), *text)


# Complete, nil, length.
def answer(reply):
    return bytes(reply[12:][3::4]).decode()


def sign(key, text):
    return hmac.digest(key, text, "sha256")


print("mechanisms", call(67)[4:])
own = base64.b64encode(os.urandom(18)).decode()
bare = f"n={user},r={own}"
name = b"SCRAM-SHA-256"
start = struct.pack(">I", len(name)) + name.ljust(16, b"\0") + chars(b"n,," + bare.encode())
first = answer(call(68, start))
fields = dict(field.split("=", 1) for field in first.split(","))
salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(fields["s"]), int(fields["i"]))
key = sign(salted, b"Client Key")
proofless = f"c=biws,r={fields['r']}"
signature = sign(hashlib.sha256(key).digest(), f"{bare},{first},{proofless}".encode())
proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
call(69, chars(f"{proofless},p={proof}".encode()))
# Opens the connection, which takes a client that is in.
uri = b"qemu:///session"
call(1, struct.pack(">II", 1, len(uri)) + uri.ljust(16, b"\0") + bytes(4))
print("in")
