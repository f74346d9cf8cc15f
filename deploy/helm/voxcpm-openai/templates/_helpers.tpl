{{- define "speech.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "speech.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "speech.labels" -}}
{{ include "speech.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "speech.image" -}}
{{- $tag := printf "%s-%s" .Chart.AppVersion (ternary "cuda" "cpu" .Values.gpu.enabled) -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default $tag) -}}
{{- end -}}

{{- define "speech.secret" -}}
{{- .Values.keys.existingSecret | default (printf "%s-keys" (include "speech.name" .)) -}}
{{- end -}}

{{- define "speech.hasKeys" -}}
{{- if or .Values.keys.toml .Values.keys.existingSecret -}}yes{{- end -}}
{{- end -}}

{{- define "speech.claim" -}}
{{- .Values.persistence.existingClaim | default (include "speech.name" .) -}}
{{- end -}}

{{- define "speech.shared" -}}
{{- if or (not .Values.persistence.enabled) (eq .Values.persistence.accessMode "ReadWriteMany") -}}yes{{- end -}}
{{- end -}}

{{- define "speech.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "speech.check" -}}
{{- if not (or (include "speech.hasKeys" .) .Values.keys.allowOpen) -}}
{{- fail "Set keys.toml, keys.existingSecret, or keys.allowOpen=true." -}}
{{- end -}}
{{- $many := or (gt (int .Values.replicas) 1) (ne .Values.autoscaling.kind "none") -}}
{{- if and $many (not (include "speech.shared" .)) -}}
{{- fail "More than one replica needs persistence.accessMode=ReadWriteMany, or persistence.enabled=false." -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.kind "keda") (not .Values.autoscaling.prometheus) -}}
{{- fail "autoscaling.kind=keda needs autoscaling.prometheus, the URL of Prometheus." -}}
{{- end -}}
{{- end -}}
