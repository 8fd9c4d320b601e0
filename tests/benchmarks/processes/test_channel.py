import io

import numpy as np
import pytest

from eightbit.benchmarks.processes.channel import (
    Action,
    Message,
    Reply,
    Request,
    receive,
    receive_pieces,
    send,
    send_pieces,
)


def test_messages_follow_each_other_without_running_together():
    stream = io.BytesIO()
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    send(stream, Request(action=Action.RUN), array)
    send(stream, Request(action=Action.TIME, repeats=7))
    stream.seek(0)
    first, payload = receive(stream, Request)
    second, nothing = receive(stream, Request)
    assert (first.action, second.action, second.repeats) == (Action.RUN, Action.TIME, 7)
    np.testing.assert_array_equal(payload, array)
    assert nothing is None


def test_a_message_carries_several_pieces_as_they_are():
    stream = io.BytesIO()
    numbers = np.arange(3, dtype=np.float32)
    send_pieces(stream, Message(), [b"\xff\xd8 a file\n", b"", numbers.data.cast("B")])
    send_pieces(stream, Message())
    stream.seek(0)
    told, pieces = receive_pieces(stream, Message)
    assert told.piece_bytes == (10, 0, 12)
    assert pieces == [b"\xff\xd8 a file\n", b"", numbers.tobytes()]
    assert receive_pieces(stream, Message) == (Message(), [])


def test_what_ends_inside_a_message_is_the_end_of_the_pipe():
    stream = io.BytesIO()
    send(stream, Reply(), np.zeros(100))
    send_pieces(stream, Reply(), [b"one", b"two"])
    whole = stream.getvalue()
    for length in (0, 5, 200, len(whole) - 1):
        cut = io.BytesIO(whole[:length])
        with pytest.raises(EOFError):
            while True:
                receive_pieces(cut, Reply)


def test_no_more_is_read_than_may_be():
    stream = io.BytesIO()
    send_pieces(stream, Message(), [b"1234", b"5"])
    stream.seek(0)
    assert receive_pieces(stream, Message, max_bytes=5)[1] == [b"1234", b"5"]
    stream.seek(0)
    with pytest.raises(ValueError, match="at most 4 bytes after the line, found 5"):
        receive_pieces(stream, Message, max_bytes=4)
    with pytest.raises(ValueError, match="a line of at most"):
        receive_pieces(io.BytesIO(b" " * 2**25), Message)


def test_python_objects_do_not_travel():
    with pytest.raises(ValueError, match=r"pickle|Object arrays"):
        send(io.BytesIO(), Reply(), np.array([{}], dtype=object))
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    header = Reply(piece_bytes=(len(buffer.getvalue()),)).model_dump_json().encode() + b"\n"
    with pytest.raises(ValueError, match="allow_pickle=False"):
        receive(io.BytesIO(header + buffer.getvalue()), Reply)
