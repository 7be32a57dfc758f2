"""The same 12 bytes, by a Django project with what `django-admin startproject`
puts into one; no page uses the database."""
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pages.settings")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
