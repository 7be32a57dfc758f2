"""The same 12 bytes, by Flask."""
from flask import Flask, Response

app = Flask(__name__)


@app.route("/hello")
def hello():
    return Response("Hello world\n", mimetype="text/plain")
