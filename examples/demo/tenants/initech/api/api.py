import sys


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"api of initech: python %d.%d\n" % sys.version_info[:2]]
