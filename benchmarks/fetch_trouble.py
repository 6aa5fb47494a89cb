#!/usr/bin/env python3
"""A server of trouble on 127.0.0.1:PORT, by the first part of the path: silent (never answers); half (1,000 bytes of
100,000, then nothing); long (claims 100,000 bytes, sends half, hangs up). usage: fetch_trouble.py PORT"""
import asyncio
import sys

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + b"\x12\x34" * 25_000


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n"


async def serve(reader, writer):
    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            trouble = request.split(b" ", 2)[1].split(b"/")[1]
            if trouble == b"long":
                writer.write(HEAD + JPEG[:50_000])
                await writer.drain()
                break
            else:
                if trouble == b"half":
                    writer.write(HEAD + JPEG[:1000])
                await reader.read()  # until the client gives up
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096) as server:
        await server.serve_forever()


asyncio.run(main())
