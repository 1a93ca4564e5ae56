# Somebody in another account reads everything and changes nothing.

module "reader" {
  source = "../../modules/role"

  name                   = "reader"
  trusted_principal_arns = ["arn:aws:iam::222233334444:role/gateway"]
  external_id            = var.external_id
  principal_org_id       = "o-a1b2c3d4e5"
  managed_policy_arns    = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
}

variable "external_id" {
  description = "What the other account has to name."
  type        = string
}

output "role_arn" {
  description = "The role to assume."
  value       = module.reader.arn
}
