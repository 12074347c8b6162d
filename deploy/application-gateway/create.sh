#!/bin/sh
# What an Application Gateway (Standard_v2 or WAF_v2) that exists needs for botgate: probe, backend, settings. docs/deploy.md.
#
#   GROUP=rg GATEWAY=agw HOST=bot.example.com BACKEND=10.0.2.4 ROOT_CERTIFICATE=root.cer sh create.sh
set -eu

: "${GROUP:?the resource group}" "${GATEWAY:?the name of the Application Gateway}" "${HOST:?the host name of the bot}"
: "${BACKEND:?the private address of botgate}" "${ROOT_CERTIFICATE:?the authority of the certificate of botgate, a file}"

gateway() {
    part=$1
    shift
    az network application-gateway "$part" create --resource-group "$GROUP" --gateway-name "$GATEWAY" "$@"
}

# The probe has to speak what the settings speak, so it cannot ask /readyz: 405 to a GET says that botgate serves this host and path.
gateway probe --name botgate --protocol Https --host-name-from-http-settings true --path /api/messages \
    --match-status-codes 405 --interval 5 --timeout 5 --threshold 2
gateway address-pool --name botgate --servers "$BACKEND"
gateway root-cert --name botgate --cert-file "$ROOT_CERTIFICATE"
# Longer than timeouts.response of the bot, so that botgate's answer is the one that is seen.
gateway http-settings --name botgate --protocol Https --port 8443 --host-name "$HOST" --probe botgate \
    --root-certs botgate --timeout 40 --connection-draining-timeout 30
