from django.shortcuts import render
from django.urls import path


def page(request, name="welcome"):
    pages = ["welcome", "apples", "pears"]
    return render(request, "page.html", {"name": name, "pages": pages})


urlpatterns = [
    path("", page, name="home"),
    path("<slug:name>/", page, name="page"),
]
