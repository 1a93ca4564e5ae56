# The policy is made without any provider, so that it can be seen and tested with `terraform console`
# alone.

locals {
  issuer   = var.issuer == null ? "" : replace(var.issuer, "/^https?:\\/\\//", "")
  org      = "org:${coalesce(var.organization_id, "-")}"
  prj      = var.project_id == null ? "" : "/prj:${var.project_id}"
  one      = "${local.org}${local.prj}/env:${coalesce(var.environment_id, "-")}"
  all      = ["${local.org}/env:*", "${local.org}/prj:*/env:*"]
  is_exact = var.environment_id != null

  subject = var.environment_id != null ? jsonencode(local.one) : (
    var.project_id != null ? jsonencode("${local.org}${local.prj}/env:*") : jsonencode(local.all)
  )

  web_identity_actions = concat(
    ["sts:AssumeRoleWithWebIdentity"],
    var.session_tags ? ["sts:TagSession"] : [],
    var.source_identity ? ["sts:SetSourceIdentity"] : [],
  )

  # One value stands bare and several in a list, as IAM itself writes policies.
  vpce_condition = length(var.source_vpces) == 0 ? {} : {
    "aws:SourceVpce" = jsondecode(length(var.source_vpces) == 1 ? jsonencode(var.source_vpces[0]) : jsonencode(var.source_vpces))
  }
  ip_condition = length(var.source_ips) == 0 ? {} : {
    IpAddress = {
      "aws:SourceIp" = jsondecode(length(var.source_ips) == 1 ? jsonencode(var.source_ips[0]) : jsonencode(var.source_ips))
    }
  }

  web_identity_condition = merge(
    {
      StringEquals = merge(
        { "${local.issuer}:aud" = var.audience },
        local.is_exact ? { "${local.issuer}:sub" = jsondecode(local.subject) } : {},
        local.vpce_condition,
      )
    },
    local.is_exact ? {} : { StringLike = { "${local.issuer}:sub" = jsondecode(local.subject) } },
    local.ip_condition,
    var.require_role_pin ? { Bool = { "sts:RoleAuthorizedByIdp" = "true" } } : {},
  )

  web_identity = {
    Effect    = "Allow"
    Principal = { Federated = var.provider_arn }
    Action    = jsondecode(length(local.web_identity_actions) == 1 ? jsonencode(local.web_identity_actions[0]) : jsonencode(local.web_identity_actions))
    Condition = local.web_identity_condition
  }

  cross_account = {
    Effect    = "Allow"
    Principal = { AWS = jsondecode(length(var.trusted_principal_arns) == 1 ? jsonencode(var.trusted_principal_arns[0]) : jsonencode(var.trusted_principal_arns)) }
    Action    = "sts:AssumeRole"
    Condition = merge(
      {
        StringEquals = merge(
          { "sts:ExternalId" = var.external_id },
          var.principal_org_id == null ? {} : { "aws:PrincipalOrgID" = var.principal_org_id },
          local.vpce_condition,
        )
      },
      local.ip_condition,
    )
  }

  statements = concat(
    var.provider_arn == null ? [] : [jsonencode(local.web_identity)],
    length(var.trusted_principal_arns) == 0 ? [] : [jsonencode(local.cross_account)],
  )

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.statements : jsondecode(statement)]
  })
}
