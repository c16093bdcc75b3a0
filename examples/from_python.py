#!/usr/bin/env python3
# Calls a compiled model from Python with ctypes alone: the functions and structures of stories260k.h and weft/runtime.h, from a
# shared library of the object. Usage: from_python.py LIBRARY WEIGHTS.safetensors [TOKENS]. README.md says how to build the library.
import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_float, c_int, c_int32, c_int64, c_void_p

VOCABULARY = 512


class Dims(Structure):  # stories260k_dims
    _fields_ = [("B", c_int64), ("T", c_int64)]


class Args(Structure):  # stories260k_prefill_args, and stories260k_decode_args
    _fields_ = [("dims", Dims), ("tokens", POINTER(c_int32)), ("logits", POINTER(c_float)), ("valid", POINTER(c_int32))]


def main():
    if len(sys.argv) < 3:
        print(f"usage: {sys.argv[0]} LIBRARY WEIGHTS.safetensors [TOKENS]", file=sys.stderr)
        return 2
    weft = ctypes.CDLL(sys.argv[1])
    for name in ("weft_model_error", "weft_session_error"):
        getattr(weft, name).restype = c_char_p
        getattr(weft, name).argtypes = [c_void_p]
    weft.weft_model_load.argtypes = [c_void_p, c_char_p]
    weft.stories260k_session.argtypes = [c_void_p, POINTER(Dims), c_void_p, POINTER(c_void_p)]
    for name in ("stories260k_prefill", "stories260k_decode"):
        getattr(weft, name).argtypes = [c_void_p, POINTER(Args)]
        getattr(weft, name).restype = c_int
    weft.weft_session_destroy.argtypes = weft.weft_model_close.argtypes = [c_void_p]

    model, session = c_void_p(), c_void_p()
    try:
        if weft.stories260k_open(None, byref(model)) or weft.weft_model_load(model, sys.argv[2].encode()):
            print(weft.weft_model_error(model).decode(), file=sys.stderr)
            return 1
        if weft.stories260k_session(model, byref(Dims(1, 64)), None, byref(session)):
            print(weft.weft_session_error(session).decode(), file=sys.stderr)
            return 1
        logits, token, tokens = (c_float * VOCABULARY)(), (c_int32 * 1)(1), []
        step = weft.stories260k_prefill
        for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 20):
            if step(session, byref(Args(Dims(1, 1), token, logits, None))):
                print(weft.weft_session_error(session).decode(), file=sys.stderr)
                return 1
            token[0] = max(range(VOCABULARY), key=logits.__getitem__)
            tokens.append(token[0])
            step = weft.stories260k_decode
        print(*tokens)
        token[0] = VOCABULARY  # a token that the model does not have: one clear error, and nothing is damaged
        weft.stories260k_decode(session, byref(Args(Dims(1, 1), token, logits, None)))
        print(weft.weft_session_error(session).decode())
    finally:
        weft.weft_session_destroy(session)
        weft.weft_model_close(model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
