// A real OpenID provider (the package `oidc-provider`) for tests: whoever comes signs in by a name, and is who the name says.
//
// node provider.mjs FOLDER-OF-NODE-MODULES REDIRECT-URI ALGORITHM; prints its issuer in a line, and ends with its standard input.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, redirect, algorithm] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(join(folder, "oidc-provider/lib/index.js")));

const key = (type, options, use) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), ...use });
const keys = [
  key("rsa", { modulusLength: 2048 }, { kid: "one", alg: "RS256", use: "sig" }),
  key("ec", { namedCurve: "P-256" }, { kid: "two", alg: "ES256", use: "sig" }),
];
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "oxide",
      client_secret: "a secret: with / signs & spaces",
      redirect_uris: [redirect],
      id_token_signed_response_alg: algorithm,
    }],
    jwks: { keys },
    cookies: { keys: ["for tests only"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "name"] },
    features: { devInteractions: { enabled: true } },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: `subject-of-${id}`,
        preferred_username: id,
        email: id.startsWith("outside") ? `${id}@elsewhere.example` : `${id}@example.com`,
        email_verified: !id.startsWith("unverified"),
      }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.on("end", () => process.exit(0)).resume();
