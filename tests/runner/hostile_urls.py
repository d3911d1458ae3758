"""URLs that would lead a careless caller to a service inside; `{port}` is where one listens on loopback."""

#: Ways to write loopback, the unspecified address, link-local and metadata addresses, private and reserved networks.
HOSTS = """
127.0.0.1 127.0.0.2 127.1 127.0.1 127.255.255.254 127.0.0.1. 2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0X7F000001
017700000001 0177.0.0.1 0177.1 00000177.0.0.1 0 0.0.0.0 0x0 0.0 localhost LOCALHOST LocalHost localhost.
[::1] [::] [0:0:0:0:0:0:0:1] [0000::0001] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:0.0.0.0] [::127.0.0.1] [::7f00:1]
[64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:1::1] [2001:0:7f00:1::]
[fe80::1] [fe80::1%25lo] [fe80::1%lo] [fec0::1] [fc00::1] [fd12:3456::1] [ff02::1] [ff0e::1] [100::1] [2001:db8::1]
169.254.169.254 0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.43518 [::ffff:169.254.169.254] [::ffff:a9fe:a9fe]
[fd00:ec2::254] 100.100.100.200 168.63.129.16 192.0.0.192 10.0.0.1 012.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1
100.64.0.1 198.18.0.1 192.0.2.1 224.0.0.1 240.0.0.1 255.255.255.255 192.88.99.1 %31%32%37.0.0.1
""".split()
#: Ways to have one host read and another called.
URLS = [
    "http://example.org@127.0.0.1:{port}/",
    "http://example.org:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.org/",
    "http://127.0.0.1:{port}/#example.org",
    "http://127.0.0.1:{port}?@example.org/",
    "http://example.org\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http:\\\\127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\t/",
    "http://127.0.0.1:{port}/\r\nHost: example.org",
    "http://127.0.0.1\x00.example.org:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://ⓛocalhost:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "unix:///run/docker.sock",
]
HOSTILE = [f"http://{host}:{{port}}/" for host in HOSTS] + ["https://127.0.0.1:{port}/", "https://[::1]:{port}/", *URLS]
