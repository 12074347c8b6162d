#!/bin/sh
# Redis for budgets and marks: nothing on disk, one user, who may do what botgate does and no more (docs/fleet.md).
set -eu

password=$(cat /run/secrets/redis-password)
[ -n "$password" ]
hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)

umask 077
cat >/run/redis/users.acl <<END
user default off
user botgate on #$hash ~botgate:* resetchannels -@all +evalsha +script|load +time +mget +set +hmget +hgetall +hset +del +pexpire +ping +client|setinfo
END

exec redis-server --dir /run/redis --aclfile /run/redis/users.acl --protected-mode no --save '' --appendonly no \
  --maxmemory 192mb --maxmemory-policy noeviction
