"""Makes a container, readable by everybody, in an Azure storage emulator: container.py http://127.0.0.1:PORT CONTAINER"""
import base64, email.utils, hashlib, hmac, sys, urllib.request

ACCOUNT = "devstoreaccount1"
# The emulator's published key: every copy of it has the same.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

server, container = sys.argv[1:]
headers = {"x-ms-blob-public-access": "container", "x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
lines = ["PUT"] + [""] * 11 + [f"{name}:{value}" for name, value in sorted(headers.items())]
text = "\n".join(lines + [f"/{ACCOUNT}/{ACCOUNT}/{container}", "restype:container"])
signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
headers["Content-Length"] = "0"
request = urllib.request.Request(f"{server}/{ACCOUNT}/{container}?restype=container", method="PUT", headers=headers)
with urllib.request.urlopen(request) as response:
    print(f'{{"status": {response.status}}}')
