output "arn" {
  description = "ARN of the role: what `idp login aws --role-arn` takes."
  value       = aws_iam_role.this.arn
}

output "name" {
  description = "Name of the role."
  value       = aws_iam_role.this.name
}

output "trust_policy" {
  description = "The role's trust policy, in JSON."
  value       = module.trust_policy.json
}
