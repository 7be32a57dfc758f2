"""A Flask application with a template, a form and a session."""
import os

from flask import Flask, redirect, render_template, request, session, url_for

app = Flask(__name__)
# Enough for a demonstration: a real application keeps its key in a file, so
# that all its processes share it and it survives a restart.
app.secret_key = os.environ.get("DEMO_KEY") or os.urandom(32)


@app.route("/")
def index():
    return render_template("index.html", names=session.get("names", []))


@app.route("/", methods=["POST"])
def add():
    name = request.form.get("name", "").strip()[:40]
    if name:
        session["names"] = (session.get("names", []) + [name])[-10:]
    return redirect(url_for("index"))
