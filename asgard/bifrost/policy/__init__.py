"""Policy: may this team have this? Pure: a policy, a request and what is known about the world in; an explained decision out."""
