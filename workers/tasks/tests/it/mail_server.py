"""aiosmtpd behind TLS, with a login: PORT FOLDER MODE CERTIFICATE KEY, where MODE is smtps or starttls."""
import asyncio
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, folder, mode, certificate, key = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
starttls = mode == "starttls"


def authenticate(server, session, envelope, mechanism, data):
    right = LoginPassword(b"sluice", b"open sesame")
    return AuthResult(success=data == right, handled=False)


def protocol():
    return SMTP(
        Mailbox(folder),
        tls_context=context if starttls else None,
        require_starttls=starttls,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=starttls,
        loop=loop,
    )


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", int(port), ssl=None if starttls else context))
loop.run_forever()
