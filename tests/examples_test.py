"""The scripts of examples/ do what they say."""

import concurrent.futures
import http.client
import json
import re
import socket
import sys
import threading

import exported_folders
import jax
import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax import models
from afm_jax.data import prepare_frames
from afm_jax.inference import restoring
from afm_jax.inference.export import export
from afm_jax.inference.predictor import Predictor
from afm_jax.ops import losses
from examples import dataframe, own_model, serve


@pytest.mark.parametrize(("script", "least"), [(dataframe, 0.7), (own_model, 0.65)])
def test_examples_run_and_learn(script, least, capsys):
    script.main()
    told = capsys.readouterr().out
    auc = float(re.search(r"Validation AUC: (\S+)", told)[1])
    assert auc > least


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A server that does not answer yet, and its predictor."""
    folder = tmp_path_factory.mktemp("served") / "exported"
    frame = dataframe.make_frame(600, 0)
    store = prepare_frames(
        {"train": frame, "validation": frame},
        label="click",
        categorical=["user", "item"],
        numeric=["price"],
        multi_valued={"tags": "|"},
    )
    model = models.make("fm", schema=store.schema, init_stddev=0.3)
    variables = model.init(jax.random.key(0), restoring.example_features(store.schema))
    loss = losses.make("sigmoid_cross_entropy")
    predictor = Predictor(store.schema, store.vocabularies, model, variables, loss)
    export(predictor, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        for name in exported_folders.READER:
            patch.delitem(sys.modules, name, raising=False)
        found = serve.make_server(str(folder), 0)
    return found, predictor


@pytest.fixture(scope="module")
def server(made):
    found, predictor = made
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found.server_address, predictor
    found.shutdown()
    found.server_close()
    thread.join()


def test_clients_may_wait_for_a_server_that_is_busy(made):
    for _ in range(40):
        socket.create_connection(made[0].server_address, timeout=5).close()


def ask(connection, body):
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_clients_at_the_same_time_get_their_own_answers(server):
    address, predictor = server
    rows = dataframe.make_frame(64, 3).drop("click").to_dicts()
    expected = predictor.predict(dataframe.make_frame(64, 3))

    def client(number):
        connection = http.client.HTTPConnection(*address, timeout=60)
        mine = range(number, 64, 16)
        found = [ask(connection, json.dumps(rows[row])) for row in mine]
        connection.close()
        return [(status, *body["predictions"]) for status, body in found]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for number, answers in enumerate(pool.map(client, range(16))):
            assert {status for status, _ in answers} == {200}
            found = [prediction for _, prediction in answers]
            np.testing.assert_allclose(found, expected[number::16], atol=1e-6)


NOT_ROWS = {
    "{": "Expecting property name",
    "nonsense": "Expecting value",
    "5": "expected a row, a list of rows, or columns",
    '{"user": 3}': "column 'item' is not there",
    '[{"user": 3, "item": "i", "price": "x", "tags": ""}]': "price is 'x'",
    "[" * 100_000: "recursion",
    b"\xff\xfe": "",
}


@pytest.mark.parametrize("body", NOT_ROWS, ids=range(len(NOT_ROWS)))
def test_what_is_no_row_is_answered_with_a_line(body, server):
    connection = http.client.HTTPConnection(*server[0], timeout=60)
    status, answer = ask(connection, body)
    assert status == 400
    assert NOT_ROWS[body] in answer["error"]
    assert "\n" not in answer["error"]
    connection.close()


def test_a_client_that_goes_away_does_not_stop_the_server(server):
    address, _ = server
    for request in b"", b"POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\n{", b"x" * 99:
        with socket.create_connection(address) as client:
            client.sendall(request)
    connection = http.client.HTTPConnection(*address, timeout=60)
    rows = dataframe.make_frame(2, 3).drop("click").to_dicts()
    status, answer = ask(connection, json.dumps(rows))
    assert status == 200
    assert len(answer["predictions"]) == 2
    connection.close()
