output "json" {
  description = "The trust policy."
  value       = local.policy

  precondition {
    condition     = length(local.statements) > 0
    error_message = "Nobody is trusted: give provider_arn with issuer and organization_id, or trusted_principal_arns with external_id."
  }

  precondition {
    condition     = var.provider_arn == null || (var.issuer != null && var.organization_id != null)
    error_message = "With provider_arn, give issuer and organization_id too: without a condition on sub every environment of the issuer could assume the role."
  }

  precondition {
    condition     = length(var.trusted_principal_arns) == 0 || var.external_id != null
    error_message = "With trusted_principal_arns, give external_id too: it keeps others from using the role through the trusted account."
  }

  precondition {
    condition     = length(var.source_ips) == 0 || length(var.source_vpces) == 0
    error_message = "source_ips and source_vpces exclude each other: no request would meet both."
  }

  precondition {
    condition     = var.provider_arn == null || var.issuer == null || endswith(coalesce(var.provider_arn, "-"), ":oidc-provider/${local.issuer}")
    error_message = "provider_arn is not that of the issuer."
  }
}
