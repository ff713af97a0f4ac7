"""Sends an e-mail through a server, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asgard.core.errors import Failed


@dataclass(frozen=True)
class MailServer:
    """The server that sends e-mail; the password is in a separate file."""

    host: str
    port: int
    sender: str
    starttls: bool = False
    user: str | None = None
    password_file: str | None = None


def send(server: MailServer | None, to: Sequence[str], subject: str, text: str, timeout_s: float) -> None:
    """Send a plain-text message. Raises Failed."""
    import smtplib
    import ssl
    from email.message import EmailMessage

    if server is None:
        raise Failed("no mail server is configured (mail:)")
    message = EmailMessage()
    message["From"], message["To"] = server.sender, ", ".join(to)
    message["Subject"] = " ".join(subject.split())
    message.set_content(text)
    try:
        with smtplib.SMTP(server.host, server.port, timeout=timeout_s) as smtp:
            if server.starttls:
                smtp.starttls(context=ssl.create_default_context())
            if server.user and server.password_file:
                smtp.login(server.user, Path(server.password_file).read_text().strip())
            refused = smtp.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise Failed(f"{type(error).__name__}: {error}"[:200]) from None
    if refused:
        raise Failed(f"the mail server refused {', '.join(refused)}")
