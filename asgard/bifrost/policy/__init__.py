"""Policy: may this team have this? Pure: a policy, a request and what is known of the world in; an explained decision out."""
