from django.contrib import admin
from django.http import HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html


def index(request):
    return HttpResponse(format_html(
        '<!doctype html><meta charset="utf-8"><title>It works</title>'
        '<h1>It works</h1><p>This page comes from <code>{}</code>. '
        'There is also <a href="{}">the administration</a>.\n',
        __file__, reverse("admin:index")))


urlpatterns = [
    path("", index, name="index"),
    path("admin/", admin.site.urls),
]
