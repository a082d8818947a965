// Judges bundles with the npm client: cases as JSON on standard input, one answer a case on
// standard output, empty where the client accepts.
'use strict';

const { readFileSync } = require('node:fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { TrustedRoot } = require('@sigstore/protobuf-specs');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

function refusal({ bundle, root, identity, issuer }) {
  const trusted = toTrustMaterial(TrustedRoot.fromJSON(json(root)));
  try {
    new Verifier(trusted).verify(toSignedEntity(bundleFromJSON(json(bundle))), {
      subjectAlternativeName: identity,
      extensions: { issuer },
    });
    return '';
  } catch (error) {
    return `${error.name} ${error.code ?? ''}: ${error.message}`;
  }
}

console.log(JSON.stringify(json(0).map(refusal)));
