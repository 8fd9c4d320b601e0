import io

import numpy as np
import pytest

from eightbit.benchmarks.channel import Action, Reply, Request, receive, send


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


def test_what_ends_inside_a_message_is_the_end_of_the_pipe():
    stream = io.BytesIO()
    send(stream, Reply(), np.zeros(100))
    whole = stream.getvalue()
    for length in (0, 5, len(whole) - 1):
        with pytest.raises(EOFError):
            receive(io.BytesIO(whole[:length]), Reply)


def test_python_objects_do_not_travel():
    with pytest.raises(ValueError, match=r"pickle|Object arrays"):
        send(io.BytesIO(), Reply(), np.array([{}], dtype=object))
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    header = Reply(payload_bytes=len(buffer.getvalue())).model_dump_json().encode() + b"\n"
    with pytest.raises(ValueError, match="allow_pickle=False"):
        receive(io.BytesIO(header + buffer.getvalue()), Reply)
