'use strict';
// Makes an RSA key of 1024 bits, signs the argument with it, and prints public key and signature.

const { generateKeyPairSync, sign } = require('node:crypto');

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
const { n, e } = publicKey.export({ format: 'jwk' });
const signature = sign('sha256', Buffer.from(process.argv[2]), privateKey).toString('base64url');
console.log(JSON.stringify({ n, e, signature }));
