"""A Flask application with templates and sessions (python3-flask)."""
from flask import (Flask, redirect, render_template, request, session,
                   url_for)

app = Flask(__name__)
app.secret_key = "only for the tests"


@app.route("/")
def index():
    return render_template("index.html", name=session.get("name"))


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        session["name"] = request.form["name"]
        return redirect(url_for("index"))
    return '<form method="post"><input name="name"></form>'


@app.route("/logout")
def logout():
    session.pop("name", None)
    return redirect(url_for("index"))


@app.route("/upload", methods=["POST"])
def upload():
    f = request.files["file"]
    return "%s %d" % (f.filename, len(f.read()))
