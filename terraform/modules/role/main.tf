module "trust_policy" {
  source = "../trust-policy"

  provider_arn           = var.provider_arn
  issuer                 = var.issuer
  audience               = var.audience
  organization_id        = var.organization_id
  project_id             = var.project_id
  environment_id         = var.environment_id
  session_tags           = var.session_tags
  source_identity        = var.source_identity
  require_role_pin       = var.require_role_pin
  trusted_principal_arns = var.trusted_principal_arns
  external_id            = var.external_id
  principal_org_id       = var.principal_org_id
  source_ips             = var.source_ips
  source_vpces           = var.source_vpces
}

resource "aws_iam_role" "this" {
  name                 = var.name
  path                 = var.path
  description          = var.description
  assume_role_policy   = module.trust_policy.json
  max_session_duration = var.max_session_duration
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "permissions" {
  count = var.permission_policy == null ? 0 : 1

  name   = "permissions"
  role   = aws_iam_role.this.name
  policy = var.permission_policy
}

resource "aws_iam_role_policy_attachment" "managed" {
  for_each = toset(var.managed_policy_arns)

  role       = aws_iam_role.this.name
  policy_arn = each.value
}
