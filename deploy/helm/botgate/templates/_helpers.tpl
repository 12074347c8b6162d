{{- define "botgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "botgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "botgate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "botgate.selector" -}}
app.kubernetes.io/name: {{ include "botgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "botgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "botgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* The chart's own Redis. Another `name`, or the gateways' Service would find its Pod. */ -}}
{{- define "botgate.redis" -}}
{{- printf "%s-redis" (include "botgate.fullname" . | trunc 57 | trimSuffix "-") -}}
{{- end -}}

{{- define "botgate.redisSelector" -}}
app.kubernetes.io/name: {{ printf "%s-redis" (include "botgate.name" . | trunc 57 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "botgate.redisLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "botgate.redisSelector" . }}
app.kubernetes.io/component: redis
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* gateway.toml: `config`, and [state] where `redis.enabled` asks for it and `config` has none. */ -}}
{{- define "botgate.config" -}}
{{ .Values.config | trim }}
{{- with .Values.redis }}
{{- if and .enabled (not (regexMatch "(?m)^[ \\t]*\\[state\\]" $.Values.config)) }}

[state]
store = "redis"
{{- if .externalHost }}
redis = "{{ ternary "rediss" "redis" .externalTls }}://{{ .externalHost }}/0"
{{- else }}
redis = "redis://{{ include "botgate.redis" $ }}:6379/0"
{{- end }}
user = "{{ .user }}"
password = "file:/etc/botgate/redis/password"
key_prefix = "{{ .keyPrefix }}"
on_store_failure = "{{ .onStoreFailure }}"
{{- end }}
{{- end }}
{{- end -}}
