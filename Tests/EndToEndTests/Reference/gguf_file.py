"""Reads and writes the part of the GGUF v3 container that native model files use."""
import struct

import numpy as np

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
            U64: "Q", I64: "q", F64: "d"}
_TENSOR_TYPES = {0: np.dtype("<f4"), 24: np.dtype("i1")}


def read(path):
    """-> metadata {key: value}, tensors {name: array} in the order of the file."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0

    def number(kind):
        nonlocal at
        (value,) = struct.unpack_from("<" + _FORMATS[kind], data, at)
        at += struct.calcsize("<" + _FORMATS[kind])
        return value

    def value(kind):
        nonlocal at
        if kind == STRING:
            size = number(U64)
            at += size
            return data[at - size:at].decode("utf-8")
        if kind == ARRAY:
            element, count = number(U32), number(U64)
            return [value(element) for _ in range(count)]
        return number(kind)

    if data[:4] != b"GGUF":
        raise ValueError(f"{path}: not a GGUF file")
    at = 4
    if number(U32) != 3:
        raise ValueError(f"{path}: not version 3")
    n_tensors, n_keys = number(U64), number(U64)
    metadata = {}
    for _ in range(n_keys):
        key = value(STRING)
        metadata[key] = value(number(U32))
    infos = []
    for _ in range(n_tensors):
        name = value(STRING)
        shape = [number(U64) for _ in range(number(U32))]
        infos.append((name, shape, number(U32), number(U64)))
    alignment = metadata.get("general.alignment", 32)
    start = -(-at // alignment) * alignment
    tensors = {}
    for name, shape, kind, offset in infos:
        if offset % alignment:
            raise ValueError(f"{path}: {name} is not aligned")
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, _TENSOR_TYPES[kind], count, start + offset)
        tensors[name] = array.reshape(shape[::-1])
    return metadata, tensors


def write(path, metadata, tensors, alignment=64):
    """metadata: list of (key, kind, value), for arrays (key, (ARRAY, element kind), values)."""
    def text(s):
        raw = s.encode("utf-8")
        return struct.pack("<Q", len(raw)) + raw

    def one(kind, v):
        return text(v) if kind == STRING else struct.pack("<" + _FORMATS[kind], v)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, kind, v in metadata:
        head += text(key)
        if isinstance(kind, tuple):
            head += struct.pack("<IIQ", ARRAY, kind[1], len(v)) + b"".join(one(kind[1], e) for e in v)
        else:
            head += struct.pack("<I", kind) + one(kind, v)
    body, size = [], 0
    for name, array in tensors.items():
        code = {np.dtype("<f4"): 0, np.dtype("i1"): 24}[array.dtype]
        head += text(name) + struct.pack("<I", array.ndim)
        head += struct.pack(f"<{array.ndim}Q", *array.shape[::-1])
        head += struct.pack("<IQ", code, size)
        body += [array.tobytes(), bytes(-array.nbytes % alignment)]
        size += array.nbytes + -array.nbytes % alignment
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % alignment))
        file.writelines(body)
