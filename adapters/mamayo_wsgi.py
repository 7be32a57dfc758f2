"""queue -> WSGI application -> answer socket"""
