"""What several tests share: things made up, drawn or trained once, and servers and browsers to try them in."""
